"""The graph of a model: senders, receivers, edges, their scores, and circuits chosen from them."""
