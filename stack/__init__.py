"""Run the whole service on one machine (`vcpbench up`), and the root distribution's commands.

commands/        one file for each command or group of commands
home.py          the folder of an installation, and the state that its supervisor writes there
engines.py       PostgreSQL and Valkey, private to the user
accounts.py      the account that PostgreSQL and Valkey run as
supervisor.py    start processes in order, restart them, stop them
control.py       start and stop an installation from outside
installation.py  the processes of one installation, and its supervisor's main program
"""
