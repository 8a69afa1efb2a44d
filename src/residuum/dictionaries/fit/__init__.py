"""The fit check: does a dictionary fit the model and the site that it is hung on?"""
