"""How models travel: those that come along with perpixel, and those on the model hub."""
