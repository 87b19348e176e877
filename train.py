"""`python train.py key=value ...` is the command `pets`, from a checkout; `python train.py --help` lists what can be said."""

from pets.__main__ import main

if __name__ == "__main__":
    main()
