"""The workbench: a server for one person on one machine, and the pages it serves."""
