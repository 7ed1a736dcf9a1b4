"""`minirun-oci`: the command line of runc and crun, for podman, containerd, dockerd, buildah, Kubernetes.

    main        the way of a command, and what becomes of an exception
    options     THE table: commands and options
    parse       runc's and crun's grammar    help, version   texts, in the form of the name that was called
    values      what options mean            commands/       one file per command
    log         errors as engines read them  present         JSON and tables
    process     what `exec` is asked for     default_spec    what `spec` writes

Speed counts here more than anywhere: an engine calls it three or more times for each container.
"""
