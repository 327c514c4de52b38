/* SPDX-License-Identifier: Apache-2.0 */
/* Named steps at which a test can intervene or inject an error. Pure. */
#ifndef CHRONOS_BASE_STEPS_H
#define CHRONOS_BASE_STEPS_H

#include <stddef.h>

/* All zero outside of tests. */
struct steps {
    /* Called before a step. 0, or the -errno to inject, at steps that can fail. */
    int (*before)(void *context, const char *step);
    void *context;
};

static inline int steps_before(const struct steps *steps, const char *step)
{
    return steps->before ? steps->before(steps->context, step) : 0;
}

#endif
