/* SPDX-License-Identifier: Apache-2.0 */
/* The mechanisms that enforce a partition's limits now; see enforcement.h. */
#include "enforcement.h"

#include "core/gpu/vendor.h"
#include "core/host/host.h"
#include "files.h"
#include "files_compute.h"
#include "files_device.h"

#include <stdio.h>
#include <string.h>

/* The words of one line, separated by commas. */
struct words {
    char text[128];
    size_t length;
};

/* Append `word` if it applies; it can be NULL otherwise. */
static void add(struct words *words, bool holds, const char *word)
{
    size_t length = holds ? strlen(word) : 0;
    if (!length || words->length + length + 2 > sizeof(words->text))
        return;
    if (words->length)
        words->text[words->length++] = ',';
    memcpy(words->text + words->length, word, length + 1);
    words->length += length;
}

static void print(struct strbuf *out, const char *limit, const struct words *words)
{
    strbuf_print(out, "%s %s\n", limit, words->length ? words->text : "none");
}

/* What can enforce limits of a partition. */
struct mechanisms {
    const char *limited_by; /* the layer that can limit programs on this device, or NULL */
    bool layer;             /* that layer is available */
    bool cuda;              /* CUDA sees the device */
    bool shim;              /* the CUDA shim is available */
    bool metered;           /* a driver reports usage by process */
    bool ends;              /* the watchdog ends processes that it sees through the driver */
    bool others;            /* it may end those of other users */
};

/* Return what the host thread said about a device. */
static const struct host_device *host_device(const struct tree *tree, uint32_t device)
{
    static const struct host_device unknown;
    const struct host_state *host = tree->host_state;
    return device < host->device_count ? &host->device[device] : &unknown;
}

static struct mechanisms find_mechanisms(struct tree *tree, const struct share *share)
{
    uint32_t device = share->device;
    uint32_t watchdog = engine_policy(tree->engine)->watchdog;
    const struct gpu_vendor *vendor =
        device < tree->device_count ? gpu_vendor_find(tree->devices[device].backend) : NULL;
    struct mechanisms has = {.limited_by = vendor ? vendor->limited_by : NULL,
                             .metered = host_device(tree, device)->backend[0]};
    has.cuda = device < tree->device_count && gpu_is_cuda(&tree->devices[device]);
    has.shim = has.cuda && tree->shared->cuda_shim[0] && tree->shared->survey.has_driver;
    has.layer = has.limited_by && tree->shared->opencl_layer[0] && tree->shared->devices.layered;
    has.ends = has.metered && watchdog == POLICY_WATCHDOG_END;
    has.others = tree->shared->admin_uid == 0;
    return has;
}

static unsigned marks_of(const struct tree *tree, const struct partition *partition)
{
    return bookings_marks(tree->bookings, partition->id, 0);
}

/* Why its programs would end at its end, though it is to be suspended; NULL: nothing speaks against
 * it now. "": it is not to be suspended. */
static const char *why_not_suspended(const struct tree *tree, const struct partition *partition,
                                     const struct mechanisms *has)
{
    const unsigned marks = marks_of(tree, partition);
    if (partition->on_expiry != ON_EXPIRY_SUSPEND)
        return "";
    if (engine_policy(tree->engine)->suspend != POLICY_SUSPEND_ON)
        return "config/suspend is off.";
    if (partition->share_count > 1)
        return "It has several devices.";
    const uint32_t mode = engine_sharing(tree->engine, partition->shares[0].device)->kind;
    if (mode == SHARING_MPS || mode == SHARING_MIG)
        return mode == SHARING_MPS ? "Its device is shared by MPS." : "Its device is split (MIG).";
    if (!has->cuda)
        return "CUDA does not see the device.";
    if (tree->host_state->suspend_why[0])
        return tree->host_state->suspend_why;
    return marks & BOOKINGS_IPC         ? "One of its processes shares memory with others (ipc)."
           : marks & BOOKINGS_MANAGED   ? "One of its processes uses managed memory."
           : marks & BOOKINGS_MULTICAST ? "One of its processes uses multicast memory."
                                        : NULL;
}

/* A SIGTERM that SIGKILL follows at once does not count. */
static void print_expiry(struct tree *tree, const struct partition *partition,
                         const struct mechanisms *has, struct strbuf *out)
{
    struct words words = {.length = 0};
    bool cgroup = !strcmp(tree->host_state->processes, "cgroup");
    bool known = tree->host_state->processes[0];
    add(&words, !why_not_suspended(tree, partition, has), "suspend");
    add(&words,
        known &&
            (partition->on_expiry == ON_EXPIRY_TERM || partition->on_expiry == ON_EXPIRY_SUSPEND) &&
            partition->grace_ns > 0,
        cgroup ? "cgroup-term" : "process-tree-term");
    add(&words, known && partition->on_expiry != ON_EXPIRY_NONE,
        cgroup ? "cgroup-kill" : "process-tree-kill");
    add(&words, has->shim, "cuda-shim");
    add(&words, has->layer, has->limited_by);
    print(out, "expiry", &words);
}

static const char *why_no_layer(const struct tree *tree, uint32_t device)
{
    const char *backend = device < tree->device_count ? tree->devices[device].backend : "absent";
    if (!strcmp(backend, "absent"))
        return "it is absent";
    if (!strcmp(backend, "simulated"))
        return "it is simulated";
    return "OpenCL does not report it; install its OpenCL driver and restart chronosfs";
}

/* Explain what CUDA programs are not limited in. */
static void print_why_cuda(const struct tree *tree, const struct share *share,
                           const struct mechanisms *has, struct strbuf *out)
{
    const struct gpu_survey *survey = &tree->shared->survey;
    uint64_t context = files_device_context(tree, share->device);
    if (!has->cuda)
        return;
    if (!tree->shared->cuda_shim[0])
        strbuf_print(out, "# memory: The library that limits CUDA programs is not on this "
                          "machine.\n");
    else if (!has->shim && !survey->note[0])
        strbuf_print(out, "# memory: CUDA's driver, libcuda.so.1, cannot be used here.\n");
    else if (survey->unknown[0])
        strbuf_print(out,
                     "# memory: The driver has functions for memory that cuda-shim does not "
                     "know: %s.\n",
                     survey->unknown);
    if (survey->note[0])
        strbuf_print(out, "# memory: %s\n", survey->note);
    if (has->shim && context > share->memory_bytes)
        strbuf_print(out,
                     "# memory: CUDA programs cannot start here: a context takes %llu MiB, "
                     "more than the partition has.\n",
                     (unsigned long long)(context >> 20));
    if (survey->has_limits)
        strbuf_print(out, "# memory: This driver can limit the memory of a cgroup itself; that is "
                          "not used in this version.\n");
}

/* Whether MPS keeps the shares of all processes that use the device. */
static bool keeps_mps(const struct tree *tree, const struct partition *partition)
{
    const struct host_device *has = host_device(tree, partition->shares[0].device);
    return partition->share_count == 1 && has->mode == SHARING_MPS && has->shared && !has->strays;
}

/* Explain what keeps shares of the device's time, and what does not. */
static void print_why_compute(const struct tree *tree, const struct partition *partition,
                              const struct share *share, struct strbuf *out)
{
    const struct sharing_mode *mode = engine_sharing(tree->engine, share->device);
    const struct host_device *has = host_device(tree, share->device);
    unsigned device = (unsigned)share->device;
    if (mode->kind == SHARING_MPS && partition->share_count > 1)
        strbuf_print(out, "# compute: A program has one MPS server, for one device: those of this "
                          "partition, which has several, use none.\n");
    else if (mode->kind == SHARING_MPS && has->mode == SHARING_MPS)
        files_compute_print_mps(has, device, out);
    if (mode->kind == SHARING_TIMESLICE)
        strbuf_print(out,
                     "# compute: Programs on gpu%u take turns as the driver has it, equally: "
                     "shares are counted and not kept.\n",
                     device);
    else if (share->compute_ppm && mode->kind == SHARING_NONE)
        strbuf_print(out, "# compute: gpu%u has no sharing mode that keeps shares of its time.\n",
                     device);
    if (has->sharing_note[0])
        strbuf_print(out, "# compute: %s\n", has->sharing_note);
}

static void print_why(struct tree *tree, const struct partition *partition,
                      const struct share *share, struct strbuf *out)
{
    const struct host_state *host = tree->host_state;
    const struct mechanisms found = find_mechanisms(tree, share), *has = &found;
    uint32_t device = share->device;
    const struct policy *policy = engine_policy(tree->engine);
    const struct host_device *known = host_device(tree, device);
    print_why_cuda(tree, share, has, out);
    print_why_compute(tree, partition, share, out);
    const char *stays = why_not_suspended(tree, partition, has);
    if (stays && *stays)
        strbuf_print(out, "# expiry: It will end, and not be suspended: %s\n", stays);
    if (!has->limited_by && !has->shim)
        strbuf_print(out, "# memory: No layer limits memory on this device: %s.\n",
                     why_no_layer(tree, device));
    else if (has->limited_by && !tree->shared->opencl_layer[0])
        strbuf_print(out, "# memory: The OpenCL layer is not on this machine.\n");
    else if (has->limited_by && !has->layer)
        strbuf_print(out, "# memory: The OpenCL loader of this machine does not load layers.\n");
    if (has->ends && !partition->uid)
        strbuf_print(out, "# memory: The watchdog only reports programs of root.\n");
    if (has->ends && !has->others)
        strbuf_print(out, "# devices: The watchdog cannot end programs of other users.\n");
    if (policy->watchdog != POLICY_WATCHDOG_OFF && !has->metered)
        strbuf_print(
            out, "# devices: The watchdog sees nothing: no driver reports use of this device.\n");
    if (!host->processes[0] && !host->why[0])
        strbuf_print(out, "# processes: Not known yet: the daemon has just started.\n");
    if (host->why[0])
        strbuf_print(out, "# processes: %s\n", host->why);
    if (known->note[0])
        strbuf_print(out, "# accounting: %s\n", known->note);
    if (host->devacl_why[0])
        strbuf_print(out, "# devices: %s\n", host->devacl_why);
    else if (policy->device_access && !known->restricted)
        strbuf_print(out, "# devices: Only holders may open devices, but this one has no node that "
                          "can be restricted.\n");
}

/* Leave in `has` what each device of the partition has. */
static void find_common(struct tree *tree, const struct partition *partition,
                        struct mechanisms *has, bool *ret_restricted)
{
    *has = find_mechanisms(tree, &partition->shares[0]);
    *ret_restricted = host_device(tree, partition->shares[0].device)->restricted;
    for (uint32_t i = 1; i < partition->share_count; i++) {
        const struct mechanisms other = find_mechanisms(tree, &partition->shares[i]);
        has->layer = has->layer && other.layer && has->limited_by == other.limited_by;
        has->shim = has->shim && other.shim;
        has->metered = has->metered && other.metered;
        has->ends = has->ends && other.ends;
        *ret_restricted &= host_device(tree, partition->shares[i].device)->restricted;
    }
}

/* Explain the first device, and others for which something else holds. */
static void print_whys(struct tree *tree, const struct partition *partition, struct strbuf *out)
{
    struct strbuf first = {.data = NULL}, other = first;
    print_why(tree, partition, &partition->shares[0], &first);
    strbuf_add(out, first.data, first.length);
    for (uint32_t i = 1; i < partition->share_count; i++) {
        strbuf_clear(&other);
        print_why(tree, partition, &partition->shares[i], &other);
        if (other.length == first.length &&
            (!other.length || !memcmp(other.data, first.data, other.length)))
            continue;
        strbuf_print(out, "# gpu%u:\n", (unsigned)partition->shares[i].device);
        strbuf_add(out, other.data, other.length);
    }
    out->failed |= first.failed | other.failed;
    strbuf_free(&first);
    strbuf_free(&other);
}

void enforcement_print(struct tree *tree, const struct partition *partition, struct strbuf *out)
{
    const struct host_state *host = tree->host_state;
    const struct host_device *known = host_device(tree, partition->shares[0].device);
    struct mechanisms has;
    bool restricted;
    struct words memory = {.length = 0}, compute = memory, devices = memory, processes = memory,
                 accounting = memory;

    find_common(tree, partition, &has, &restricted);
    add(&memory, has.shim && !tree->shared->survey.unknown[0], "cuda-shim");
    add(&memory, has.layer, has.limited_by);
    add(&memory, keeps_mps(tree, partition), "mps");
    add(&memory, has.ends && partition->uid, "watchdog");
    print(out, "memory", &memory);
    add(&compute, keeps_mps(tree, partition), "mps");
    print(out, "compute", &compute);
    add(&devices, has.shim, "cuda-shim");
    add(&devices, has.layer, has.limited_by);
    add(&devices, restricted, "device-access");
    add(&devices, has.ends && has.others, "watchdog");
    print(out, "devices", &devices);
    add(&processes, host->processes[0], host->processes);
    print(out, "processes", &processes);
    add(&accounting, true, "charge");
    if (has.metered)
        add(&accounting, true, known->backend);
    print(out, "accounting", &accounting);
    print_expiry(tree, partition, &has, out);
    print_whys(tree, partition, out);
}
