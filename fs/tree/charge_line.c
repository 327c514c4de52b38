/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the file `charge`; see charge_line.h. */
#include "charge_line.h"

#include "core/host/bookings.h"

#include <string.h>

/* Parse " gpu1". */
static bool parse_device(const char *text, uint32_t *ret_device)
{
    uint32_t device = 0;
    if (strncmp(text, " gpu", 4) != 0 || !text[4] || strlen(text + 4) > 6)
        return false;
    for (text += 4; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        device = 10 * device + (uint32_t)(*text - '0');
    }
    *ret_device = device;
    return true;
}

/* Parse "mark ipc". */
static bool parse_mark(const char *text, unsigned *ret_mark)
{
    static const struct {
        const char *line;
        unsigned mark;
    } marks[] = {{"mark ipc", BOOKINGS_IPC},
                 {"mark managed", BOOKINGS_MANAGED},
                 {"mark multicast", BOOKINGS_MULTICAST}};
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if (!strcmp(text, marks[i].line)) {
            *ret_mark = marks[i].mark;
            return true;
        }
    return false;
}

int charge_line_parse(const struct write *write, struct charge_line *ret_line)
{
    const char *text = write->text;
    struct charge_line line = {.sign = text[0], .device = ENGINE_DEVICE_ANY};
    uint64_t bytes = 0;
    size_t at = 1;
    if (parse_mark(text, &line.mark)) {
        line.sign = 'm';
        *ret_line = line;
        return 0;
    }
    if (write->length < 2 || (text[0] != '+' && text[0] != '-'))
        return REFUSED_INVALID;
    for (; at < write->length && text[at] >= '0' && text[at] <= '9'; at++)
        if (__builtin_mul_overflow(bytes, 10, &bytes) ||
            __builtin_add_overflow(bytes, (uint64_t)(text[at] - '0'), &bytes))
            return REFUSED_INVALID;
    if (at == 1 || strlen(text) != write->length ||
        (text[at] && !parse_device(text + at, &line.device)))
        return REFUSED_INVALID;
    line.bytes = bytes;
    *ret_line = line;
    return 0;
}

int charge_line_share(const struct partition *partition, struct write *write, uint32_t device,
                      uint32_t *ret_index)
{
    const struct share *shares = partition->shares;
    const uint32_t bound = write->handle->share;
    uint32_t index = bound ? bound - 1 : 0;
    if (device == ENGINE_DEVICE_ANY && (bound || partition->share_count == 1)) {
        *ret_index = index;
        return 0;
    }
    if (device == ENGINE_DEVICE_ANY)
        return message_refuse(REFUSED_INVALID, write->why.message, sizeof(write->why.message),
                              "p%llu has several devices; say which one this open file charges, "
                              "as in +4096 gpu%u.",
                              (unsigned long long)partition->id, (unsigned)shares[0].device);
    while (!bound && index + 1 < partition->share_count && shares[index].device != device)
        index++;
    if (shares[index].device == device) {
        *ret_index = index;
        return 0;
    }
    if (!bound)
        return message_refuse(REFUSED_INVALID, write->why.message, sizeof(write->why.message),
                              "p%llu has nothing of gpu%u.", (unsigned long long)partition->id,
                              (unsigned)device);
    return message_refuse(REFUSED_INVALID, write->why.message, sizeof(write->why.message),
                          "This open file charges gpu%u; for gpu%u open charge once more.",
                          (unsigned)shares[index].device, (unsigned)device);
}
