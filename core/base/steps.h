/* SPDX-License-Identifier: Apache-2.0 */
/* Named steps at which a test can come in between, or make the step fail. Pure. */
#ifndef CHRONOS_BASE_STEPS_H
#define CHRONOS_BASE_STEPS_H

#include <stddef.h>

/* All zero outside of tests. */
struct steps {
    /* Called before a step. 0, or the -errno with which it is to fail where steps can. */
    int (*before)(void *context, const char *step);
    void *context;
};

static inline int steps_before(const struct steps *steps, const char *step)
{
    return steps->before ? steps->before(steps->context, step) : 0;
}

#endif
