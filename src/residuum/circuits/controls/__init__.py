"""Controls: would the circuit be found again, is it the only one, and is it specific?"""
