"""Pure building blocks of wire formats, with no provider's name in them: bytes in, values out, and back."""
