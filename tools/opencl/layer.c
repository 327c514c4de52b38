/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by all parts of the layer; see layer.h. */
#include "layer.h"

struct layer layer;
__thread volatile unsigned layer_locks_held;

void layer_lock(pthread_mutex_t *lock)
{
    layer_locks_held++;
    pthread_mutex_lock(lock);
}

void layer_unlock(pthread_mutex_t *lock)
{
    pthread_mutex_unlock(lock);
    layer_locks_held--;
}

cl_int layer_start(void)
{
    struct chronos_environment environment;
    if (chronos_environment_read(&environment) < 0)
        return CL_OUT_OF_HOST_MEMORY;
    for (unsigned i = 0; i < environment.count; i++) {
        if (chronos_charge_new(environment.directory[i], environment.allow_unreachable,
                               &layer.charge[i]) == 0)
            continue;
        while (i-- > 0)
            layer.charge[i] = chronos_charge_free(layer.charge[i]);
        chronos_environment_release(&environment);
        return CL_OUT_OF_HOST_MEMORY;
    }
    layer.environment = environment;
    return CL_SUCCESS;
}
