/* SPDX-License-Identifier: Apache-2.0 */
/* The charge client as a ledger in memory, in place of the one that writes files. */
#ifndef CHRONOS_TESTS_OPENCL_FAKE_CHARGE_H
#define CHRONOS_TESTS_OPENCL_FAKE_CHARGE_H

#include "tools/libchronos/client.h"

#define FAKE_CHARGES 2

struct ledger {
    uint64_t limit, used;
    int refuse; /* the result of every booking */
    unsigned bookings, returns;
};

/* In the order in which the layer made them. */
extern struct ledger ledger[FAKE_CHARGES];

#endif
