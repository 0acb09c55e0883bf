"""What a run leaves on the server, as those who write it and those who read it agree: names, lease, marks, states."""
