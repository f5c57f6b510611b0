"""Doors to other people's packages, one each: nobody else imports them."""
