"""What a skill can do, measured on its bodies: the numbers, the verdict and the page of `mode=card`."""
