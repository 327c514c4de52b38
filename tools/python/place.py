# SPDX-License-Identifier: Apache-2.0
"""Print where this interpreter finds packages below a prefix; nothing if nowhere."""

import site
import sys

PREFIX = sys.argv[1].rstrip("/") + "/"
for place in [*site.getsitepackages(), site.getusersitepackages()]:
    if place.startswith(PREFIX) and not place.startswith(PREFIX + "local/"):
        print(place)
        break
