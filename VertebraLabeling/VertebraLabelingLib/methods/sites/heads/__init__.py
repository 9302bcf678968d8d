"""The heads of the network `sites`, one file each; every one can be read without the others."""
