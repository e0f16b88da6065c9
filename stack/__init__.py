"""What the root distribution adds to the command line, and the stack that `vcpbench up` runs.

commands/        one file for each command
home.py          the folder of a stack: what lies where
engines.py       PostgreSQL and Valkey, private to the user
accounts.py      the account that engines run as
supervisor.py    the process that keeps all others running
control.py       start, stop and ask it
installation.py  what is installed here
"""
