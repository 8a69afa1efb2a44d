"""The recipe of the dictionary that ships with microworld, and the behaviours it is tried on."""
