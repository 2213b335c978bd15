"""The program in a checkout, as the command `isaachrl` is where the package is installed; `--help` lists the keys."""

from isaachrl.run.main import main

if __name__ == "__main__":
    main()
