/* SPDX-License-Identifier: Apache-2.0 */
/* Choose the adapter of a mode; see sharing.h. */
#include "sharing.h"

#include "adapters.h"
#include "core/base/array.h"

#include <errno.h>

static const struct sharing_mode_adapter *const adapters[] = {&sharing_mps};

/* Take away what modes other than `kind` have made. */
static int undo_others(const struct sharing_device *device, uint32_t kind, char *note)
{
    int first = 0;

    for (size_t i = 0; i < ARRAY_COUNT(adapters); i++) {
        int r = adapters[i]->kind != kind ? adapters[i]->undo(device, note) : 0;

        first = first ? first : r;
    }
    return first;
}

int sharing_keep(const struct sharing_device *device, const struct sharing_mode *mode,
                 struct sharing_report *ret_report)
{
    *ret_report = (struct sharing_report){.ready = false};
    int r = undo_others(device, mode->kind, ret_report->note);

    for (size_t i = 0; !r && i < ARRAY_COUNT(adapters); i++) {
        if (adapters[i]->kind == mode->kind)
            return adapters[i]->keep(device, mode, ret_report);
    }
    if (!r && mode->kind == SHARING_MIG)
        r = message_refuse(-EOPNOTSUPP, ret_report->note, SHARING_NOTE_MAX,
                           "MIG instances are not made in this version.");
    ret_report->ready = !r;
    return r;
}

int sharing_part(const struct sharing_device *device, const struct sharing_mode *mode, pid_t pid)
{
    for (size_t i = 0; i < ARRAY_COUNT(adapters); i++) {
        if (adapters[i]->kind == mode->kind)
            return adapters[i]->part(device, pid);
    }
    return 0;
}
