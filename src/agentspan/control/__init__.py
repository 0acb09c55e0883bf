"""Acting on the server: register, start once, look after runs that stand still."""
