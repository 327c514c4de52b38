/* SPDX-License-Identifier: Apache-2.0 */
/* Words for the numbers in a partition's record. It must not know how records are used. */
#include "partition.h"

const char *partition_state_text(uint32_t state)
{
    static const char *const words[] = {[PARTITION_PENDING] = "pending",
                                        [PARTITION_ACTIVE] = "active",
                                        [PARTITION_EXPIRING] = "expiring",
                                        [PARTITION_SUSPENDED] = "suspended"};

    return state < sizeof(words) / sizeof(words[0]) ? words[state] : "unknown";
}
