import sys

if getattr(sys, "frozen", False):
    from collector import onefile

    onefile.begin()

from collector.cli import main

main()
