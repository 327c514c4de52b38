/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps which limit of a partition now; see enforcement.h. */
#include "enforcement.h"

#include "../core/engine/request.h"

#include <stdio.h>
#include <string.h>

/* Words of one line, with commas between them. */
struct words {
    char text[128];
    size_t length;
};

static void add(struct words *words, bool holds, const char *word)
{
    size_t length = strlen(word);
    if (!holds || words->length + length + 2 > sizeof(words->text))
        return;
    if (words->length)
        words->text[words->length++] = ',';
    memcpy(words->text + words->length, word, length + 1);
    words->length += length;
}

static void print(struct text *out, const char *limit, const struct words *words)
{
    text_print(out, "%s %s\n", limit, words->length ? words->text : "none");
}

/* What a setting under config/ says. */
static bool is_set(struct tree *tree, const char *name, const char *value)
{
    char key[ENGINE_KEY_MAX];
    snprintf(key, sizeof(key), "config/%s", name);
    const char *is = engine_setting(tree->engine, key);
    return is && !strcmp(is, value);
}

static void print_expiry(struct tree *tree, const struct partition *partition, bool layer,
                         struct text *out)
{
    struct words words = {.length = 0};
    bool cgroup = !strcmp(tree->keeps.processes, "cgroup");
    bool known = tree->keeps.processes[0];
    add(&words, known && partition->on_expiry == ON_EXPIRY_TERM,
        cgroup ? "cgroup-term" : "process-tree-term");
    add(&words, known && partition->on_expiry != ON_EXPIRY_NONE,
        cgroup ? "cgroup-kill" : "process-tree-kill");
    add(&words, layer, "opencl-layer");
    print(out, "expiry", &words);
}

void enforcement_print(struct tree *tree, const struct partition *partition, struct text *out)
{
    const struct keeper_state *keeps = &tree->keeps;
    uint32_t device = partition->device;
    bool layer = tree->shared->layer[0] != '\0';
    bool metered = device < GPU_DEVICE_MAX && keeps->meter[device].backend[0];
    bool ends = metered && is_set(tree, "watchdog", "end");
    struct words memory = {.length = 0}, devices = memory, processes = memory, accounting = memory;

    add(&memory, layer, "opencl-layer");
    add(&memory, ends, "watchdog");
    print(out, "memory", &memory);
    text_print(out, "compute none\n");
    add(&devices, layer, "opencl-layer");
    add(&devices, device < GPU_DEVICE_MAX && keeps->gated[device], "gate");
    add(&devices, ends, "watchdog");
    print(out, "devices", &devices);
    add(&processes, keeps->processes[0], keeps->processes);
    print(out, "processes", &processes);
    add(&accounting, true, "charge");
    if (metered)
        add(&accounting, true, keeps->meter[device].backend);
    print(out, "accounting", &accounting);
    print_expiry(tree, partition, layer, out);
    if (keeps->why[0])
        text_print(out, "# processes: %s\n", keeps->why);
    if (device < GPU_DEVICE_MAX && keeps->meter[device].note[0])
        text_print(out, "# accounting: %s\n", keeps->meter[device].note);
    if (keeps->gate_why[0])
        text_print(out, "# devices: %s\n", keeps->gate_why);
}
