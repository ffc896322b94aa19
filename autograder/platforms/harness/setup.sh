#!/bin/sh
# Gradescope runs this as root when it builds the image: Python 3.11, bubblewrap, the pinned packages.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y bubblewrap python3.11 python3.11-venv
python3.11 -m venv /opt/adamw-grader
/opt/adamw-grader/bin/python -m pip install -r /autograder/source/requirements.txt -c /autograder/source/constraints.txt
