"""What a worker does with its ranks: the model, the user's loop, the trainer, data shards."""
