"""The command line: words in, engine verbs called, text and an exit code out.

    main        the way of a command, and what becomes of an exception
    options     THE table: commands and options
    parse       docker's words           help        texts from the table
    values/     what options mean        commands/   one file per command
    present     how things are said      table       columns and --format      template/   Go templates
    foreground  terminal, signals, detaching while a container runs here

A word's way: main finds the command in options, parse reads its words, a file of commands/ builds the request and
calls the engine.
"""
