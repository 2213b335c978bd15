"""`python -m isaachrl` is the command `isaachrl`."""

from isaachrl.run.main import main

if __name__ == "__main__":
    main()
