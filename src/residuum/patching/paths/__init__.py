"""Path patching: senders, receivers, and the streams between them."""
