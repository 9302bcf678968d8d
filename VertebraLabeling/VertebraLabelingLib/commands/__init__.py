"""The sub-commands of the command line; importing one of these files costs nothing heavy."""
