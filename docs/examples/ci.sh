#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A pipeline's GPU tests: a part of any GPU for as long as they run, five minutes at most. If none
# is free the job fails at once with 125, which many CI systems can be told to try again.
#
# usage: ci.sh COMMAND...
set -e
exec chronos run --name "ci-${CI_JOB_ID:-local}" 0.3 5m -- "$@"
