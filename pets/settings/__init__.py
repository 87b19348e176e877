"""Every key of the configuration, once: type, range, default and the sentence that tells a person what it is.

Torch-free. The classes that use a setting, the command line, `--help` and what an exported model may hold refer to it.
"""
