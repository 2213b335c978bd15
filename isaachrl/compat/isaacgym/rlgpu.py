"""Present because repositories import it; nothing in it is used."""
