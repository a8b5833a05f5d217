import sys

if getattr(sys, "frozen", False):
    from collector import onefile

    onefile.begin()

if sys.argv[1:2] == ["read-apart"]:  # before all that only a collector needs
    from collector.store import apart

    apart.main(sys.argv[2:])
else:
    from collector.cli import main

    main()
