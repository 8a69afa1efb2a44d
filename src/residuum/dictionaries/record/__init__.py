"""What a dictionary is: weights, activation, latents in sparse form, and its folder on disk."""
