/* SPDX-License-Identifier: Apache-2.0 */
/* How a device's time is shared, and what a partition has of it; see files_compute.h. */
#include "files_compute.h"

#include "core/host/host.h"

#include <stdio.h>
#include <string.h>

/* -- a device ---------------------------------------------------------------------- */

int files_compute_show_mode(struct tree *tree, const struct node *node, uint32_t uid,
                            struct strbuf *out)
{
    char text[SHARING_TEXT_MAX];
    (void)uid;
    sharing_mode_text(engine_sharing(tree->engine, (uint32_t)node->object), text);
    strbuf_print(out, "%s\n", text);
    return 0;
}

/* Refuse a mode that the device can never have. */
static int check_mode(struct tree *tree, struct write *write, const struct sharing_mode *mode)
{
    uint32_t device = (uint32_t)write->node->object;
    uint64_t memory = engine_device(tree->engine, device)->memory_bytes;
    char *message = write->why.message;
    size_t size = sizeof(write->why.message);
    bool vendors = mode->kind == SHARING_MPS || mode->kind == SHARING_MIG;

    if (vendors && !gpu_is_cuda(&tree->devices[device]))
        return message_refuse(REFUSED_INVALID, message, size,
                              "Device gpu%u cannot be shared by %s: it is not a device of NVIDIA's "
                              "driver. Write timeslice or none.",
                              (unsigned)device, sharing_mode_word(mode->kind));
    if (mode->memory_bytes > memory)
        return message_refuse(REFUSED_INVALID, message, size,
                              "Device gpu%u has %llu bytes; write a smaller memory=.",
                              (unsigned)device, (unsigned long long)memory);
    if (mode->kind == SHARING_MIG)
        return message_refuse(REFUSED_INVALID, message, size,
                              "MIG instances are not made in this version. Write mps, timeslice or "
                              "none.");
    return 0;
}

int files_compute_store_mode(struct tree *tree, struct write *write)
{
    char key[ENGINE_KEY_MAX];
    struct sharing_mode mode;

    if (!write->caller.admin)
        return message_refuse(
            REFUSED_PERMISSION, write->why.message, sizeof(write->why.message),
            "Permission denied: only administrators can change how a device is shared.");
    int r = sharing_mode_parse(write->text, &mode, write->why.message, sizeof(write->why.message));
    if (!r)
        r = check_mode(tree, write, &mode);
    if (r)
        return r;
    snprintf(key, sizeof(key), SHARING_MODE_SETTING "%s", tree->devices[write->node->object].key);
    return engine_set(tree->engine, TREE_CALL(tree, &write->caller, &write->why), key, write->text);
}

/* Print what the host thread has found. */
static void print_host(const struct tree *tree, uint32_t device, const struct sharing_mode *mode,
                       struct strbuf *out)
{
    const struct host_state *host = tree->host_state;
    const struct host_device *has = device < host->device_count ? &host->device[device] : NULL;
    bool known = has && has->mode == mode->kind;

    strbuf_print(out, "ready %s\n", known && has->shared ? "yes" : "no");
    if (!known) {
        strbuf_print(out, "# The mode has just been set.\n");
        return;
    }
    if (mode->kind == SHARING_MPS) {
        strbuf_print(out, "server %d\nclients %u\npipe %s\n", (int)has->server,
                     (unsigned)has->clients, has->pipe);
        files_compute_print_mps(has, device, out);
    }
    if (has->sharing_note[0])
        strbuf_print(out, "# %s\n", has->sharing_note);
}

void files_compute_print_mps(const struct host_device *has, uint32_t device, struct strbuf *out)
{
    if (has->strays)
        strbuf_print(
            out,
            "# compute: %u of the processes on gpu%u, such as %d, %s no clients of its MPS server: "
            "nothing of it limits them. Start them with the variables of env.\n",
            (unsigned)has->strays, (unsigned)device, (int)has->stray,
            has->strays == 1 ? "is" : "are");
    if (has->shared)
        strbuf_print(out,
                     "# compute: All clients on gpu%u fail when one makes an invalid access, or is "
                     "killed within a kernel.\n",
                     (unsigned)device);
}

int files_compute_show_status(struct tree *tree, const struct node *node, uint32_t uid,
                              struct strbuf *out)
{
    uint32_t device = (uint32_t)node->object;
    const struct sharing_mode *mode = engine_sharing(tree->engine, device);
    uint64_t count = engine_device_partitions(tree->engine, device);
    (void)uid;

    strbuf_print(out, "mode %s\npartitions %llu\n", sharing_mode_word(mode->kind),
                 (unsigned long long)count);
    if (mode->slots)
        strbuf_print(out, "slots %u\n", (unsigned)mode->slots);
    print_host(tree, device, mode, out);
    return 0;
}

/* -- a partition ------------------------------------------------------------------- */

int files_compute_show_share(struct tree *tree, const struct node *node, uint32_t uid,
                             struct strbuf *out)
{
    const struct partition *partition = tree_partition(tree, node);
    char text[16];
    (void)uid;
    if (!partition)
        return -ENODEV;
    sharing_mode_share_text(engine_share_ppm(tree->engine, &partition->shares[0]), text,
                            sizeof(text));
    strbuf_print(out, "%s\n", text);
    return 0;
}

int files_compute_store_share(struct tree *tree, struct write *write)
{
    uint32_t ppm = 0;
    int r = 0;

    if (strcmp(write->text, "default") != 0)
        r = sharing_mode_parse_share(write->text, write->length, &ppm, write->why.message,
                                     sizeof(write->why.message));
    return r ? r
             : engine_set_compute(tree->engine, TREE_CALL(tree, &write->caller, &write->why),
                                  write->node->object, ppm);
}

int files_compute_show_uuid(struct tree *tree, const struct node *node, uint32_t uid,
                            struct strbuf *out)
{
    const struct partition *partition = tree_partition(tree, node);
    (void)uid;
    if (!partition)
        return -ENODEV;
    for (uint32_t i = 0; i < partition->share_count; i++)
        strbuf_print(out, "%s%s", i ? "," : "", tree->devices[partition->shares[i].device].uuid);
    strbuf_print(out, "\n");
    return 0;
}

/* -- a request --------------------------------------------------------------------- */

int files_compute_read_slot(struct tree *tree, struct write *write, uint32_t device,
                            struct amount *ret_amount)
{
    uint32_t slots = 0, first = 0, last = 0;
    bool differ = false, seen = false;

    for (uint32_t i = 0; i < tree->device_count; i++) {
        uint32_t has = engine_sharing(tree->engine, i)->slots;

        if ((device != ENGINE_DEVICE_ANY && i != device) ||
            !engine_device(tree->engine, i)->present)
            continue;
        differ = differ || (seen && has != last);
        seen = true;
        last = has;
        first = slots ? first : i;
        slots = has ? has : slots;
    }
    if (slots == 0 && device != ENGINE_DEVICE_ANY)
        return message_refuse(
            REFUSED_INVALID, write->why.message, sizeof(write->why.message),
            "Device gpu%u has no slots; write an amount of memory such as 0.5 or 20G.",
            (unsigned)device);
    if (slots == 0)
        return message_refuse(REFUSED_INVALID, write->why.message, sizeof(write->why.message),
                              "No device has slots; write an amount of memory such as 0.5 or 20G.");
    if (differ)
        return message_refuse(REFUSED_INVALID, write->why.message, sizeof(write->why.message),
                              "Devices have different numbers of slots; ask one of them, such as "
                              "gpu%u.",
                              (unsigned)first);
    *ret_amount = (struct amount){.is_share = true, .digits = 1, .scale = slots};
    return 0;
}
