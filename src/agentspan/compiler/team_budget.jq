# Whether it was decided about a team's budget that the models answer with what there is.
def finishing: [.] | flatten | map(select(. != null)) | .[0] | (.before.ending // false) or .decided.mode == "finish";
