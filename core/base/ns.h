/* SPDX-License-Identifier: Apache-2.0 */
/* Times are int64_t nanoseconds; these constants convert other units. Pure. */
#ifndef CHRONOS_BASE_NS_H
#define CHRONOS_BASE_NS_H

#include <stdint.h>

#define NS_PER_US     INT64_C(1000)
#define NS_PER_MS     INT64_C(1000000)
#define NS_PER_SECOND INT64_C(1000000000)

#endif
