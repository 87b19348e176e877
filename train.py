"""`python train.py key=value ...` in a checkout is `pets key=value ...`; `--help` lists what can be said."""

from pets.__main__ import main

if __name__ == "__main__":
    main()
