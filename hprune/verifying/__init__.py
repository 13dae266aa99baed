"""Does all that is stored fit together? Checks that read everything and change nothing, for `hprune.verify`."""
