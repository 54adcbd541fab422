"""The command `perpixel`: the only part that prints or exits."""
