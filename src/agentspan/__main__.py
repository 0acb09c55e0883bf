"""`python -m agentspan`: the command line, where the `agentspan` script is not on the PATH."""

from agentspan.cli import main

if __name__ == "__main__":
    main(prog_name="agentspan")
