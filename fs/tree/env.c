/* SPDX-License-Identifier: Apache-2.0 */
/* Print the environment of programs inside a partition; see env.h. */
#include "env.h"

#include "core/base/array.h"
#include "core/gpu/gpu.h"
#include "core/host/host.h"
#include "files.h"
#include "waits.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* -- values ----------------------------------------------------------------------- */

/* Print the value of a variable. False: it is not set in this partition. */
typedef bool value_fn(struct tree *tree, const struct partition *partition, char *text);

static const struct gpu_device *device_of(const struct tree *tree,
                                          const struct partition *partition, uint32_t share)
{
    return &tree->devices[partition->shares[share].device];
}

static bool is_by(const struct gpu_device *device, const char *vendor)
{
    return !strncasecmp(device->vendor, vendor, strlen(vendor));
}

/* Where it is on its first device. */
static void print_place(struct tree *tree, const struct partition *partition, uint32_t share,
                        char *text, size_t size)
{
    snprintf(text, size, "%s/gpu%u/p%llu", tree->shared->mount_point,
             (unsigned)partition->shares[share].device, (unsigned long long)partition->id);
}

/* A directory for each device, by which shims know it. Those that do not fit are left out: programs
 * get nothing of these devices then. */
bool env_print_directories(struct tree *tree, const struct partition *partition, char *text)
{
    size_t used = 0;
    for (uint32_t i = 0; i < partition->share_count; i++) {
        char place[PATH_MAX + 40];
        print_place(tree, partition, i, place, sizeof(place));
        size_t length = strlen(place);
        if (used + length + 2 > ENV_VALUE_MAX)
            break;
        used += (size_t)snprintf(text + used, ENV_VALUE_MAX - used, "%s%s", i ? ":" : "", place);
    }
    return true;
}

static bool print_unreachable(struct tree *tree, const struct partition *partition, char *text)
{
    (void)partition;
    bool allow = engine_policy(tree->engine)->unreachable == POLICY_UNREACHABLE_ALLOW;
    snprintf(text, ENV_VALUE_MAX, "%s", allow ? "allow" : "refuse");
    return true;
}

static bool print_opencl_layer(struct tree *tree, const struct partition *partition, char *text)
{
    (void)partition;
    snprintf(text, ENV_VALUE_MAX, "%s", tree->shared->opencl_layer);
    return *text;
}

/* Whether a framework sees a device, which it knows by its uuid. */
typedef bool sees_fn(const struct gpu_device *device);

/* Print the uuids of the devices that a framework sees. Never numbers: CUDA and its management
 * library do not order devices alike. */
static bool print_uuids(struct tree *tree, const struct partition *partition, sees_fn *sees,
                        char *text)
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < partition->share_count; i++) {
        const struct gpu_device *device = device_of(tree, partition, i);
        if (sees(device) && used < ENV_VALUE_MAX)
            used += (size_t)snprintf(text + used, ENV_VALUE_MAX - used, "%s%s", used ? "," : "",
                                     device->uuid);
    }
    return used > 0;
}

static bool print_cuda(struct tree *tree, const struct partition *partition, char *text)
{
    return print_uuids(tree, partition, gpu_is_cuda, text);
}

/* Only where CUDA sees a device: it is loaded into every program. */
static bool print_cuda_shim(struct tree *tree, const struct partition *partition, char *text)
{
    if (!print_cuda(tree, partition, text))
        return false;
    snprintf(text, ENV_VALUE_MAX, "%s", tree->shared->cuda_shim);
    return *text;
}

/* The mode of the only device, if it is MPS; else NULL: a client has one server, for the devices
 * that this has. */
static const struct sharing_mode *find_mps(struct tree *tree, const struct partition *partition)
{
    const struct sharing_mode *mode = engine_sharing(tree->engine, partition->shares[0].device);
    return partition->share_count == 1 && mode->kind == SHARING_MPS ? mode : NULL;
}

static bool print_mps_pipe(struct tree *tree, const struct partition *partition, char *text)
{
    uint32_t device = partition->shares[0].device;
    if (!find_mps(tree, partition) || device >= tree->host_state->device_count)
        return false;
    snprintf(text, ENV_VALUE_MAX, "%s", tree->host_state->device[device].pipe);
    return *text;
}

/* Whole per cent of the multiprocessors: the share, at most what the mode allows. */
static bool print_mps_percentage(struct tree *tree, const struct partition *partition, char *text)
{
    const struct sharing_mode *mode = find_mps(tree, partition);
    uint32_t percent = engine_share_ppm(tree->engine, &partition->shares[0]) / 10000;
    if (!mode)
        return false;
    if (mode->percentage && percent > mode->percentage)
        percent = mode->percentage;
    snprintf(text, ENV_VALUE_MAX, "%u", percent ? (unsigned)percent : 1);
    return true;
}

/* A limit for each process. The device is number 0, the only one that is visible: an entry for
 * another one would drop every limit without a word. */
static bool print_mps_memory(struct tree *tree, const struct partition *partition, char *text)
{
    const struct sharing_mode *mode = find_mps(tree, partition);
    uint64_t bytes = partition->shares[0].memory_bytes;
    if (!mode)
        return false;
    if (mode->memory_bytes && bytes > mode->memory_bytes)
        bytes = mode->memory_bytes;
    snprintf(text, ENV_VALUE_MAX, "0=%lluM", bytes >> 20 ? (unsigned long long)(bytes >> 20) : 1);
    return true;
}

/* ROCm knows its devices by GPU- and the 16 digits of the card's unique id. */
static bool is_rocm(const struct gpu_device *device)
{
    const char *uuid = device->uuid;
    return (is_by(device, "AMD") || is_by(device, "Advanced Micro Devices")) &&
           !strncmp(uuid, "GPU-", 4) && strspn(uuid + 4, "0123456789abcdef") == 16 && !uuid[20];
}

static bool print_rocm(struct tree *tree, const struct partition *partition, char *text)
{
    return print_uuids(tree, partition, is_rocm, text);
}

static bool has_frameworks(struct tree *tree, const struct partition *partition, char *text)
{
    return print_cuda(tree, partition, text) || print_rocm(tree, partition, text);
}

/* The least share in millionths, rounded down. Where the shim has the framework see the partition
 * as a whole device, it would be a share of a share. */
static bool print_share(struct tree *tree, const struct partition *partition, char *text)
{
    if (print_cuda_shim(tree, partition, text))
        return false;
    const uint64_t million = 1000000;
    uint64_t ppm = UINT64_MAX;
    if (!has_frameworks(tree, partition, text))
        return false;
    for (uint32_t i = 0; i < partition->share_count; i++) {
        uint64_t bytes = partition->shares[i].memory_bytes,
                 total = device_of(tree, partition, i)->memory_bytes;
        uint64_t part = !total                         ? 0
                        : total > UINT64_MAX / million ? bytes / (total / million + 1)
                                                       : bytes * million / total;
        ppm = part < ppm ? part : ppm;
    }
    snprintf(text, ENV_VALUE_MAX, ppm < million ? "0.%06u" : "1", (unsigned)ppm);
    return ppm > 0;
}

static bool print_growth(struct tree *tree, const struct partition *partition, char *text)
{
    bool set = has_frameworks(tree, partition, text);
    snprintf(text, ENV_VALUE_MAX, "true");
    return set;
}

/* The variables. What frameworks read only asks them: no limit depends on it. */
static const struct {
    const char *name;
    value_fn *print;
    const char *separators; /* of a list: others' entries stay, behind this one; NULL: no list */
} variables[] = {
    {"CHRONOS_PARTITION", env_print_directories, NULL},
    {"CHRONOS_UNREACHABLE", print_unreachable, NULL},
    {"OPENCL_LAYERS", print_opencl_layer, ":"},
    {"LD_PRELOAD", print_cuda_shim, ": "},
    {"CUDA_VISIBLE_DEVICES", print_cuda, NULL},
    {"CUDA_MPS_PIPE_DIRECTORY", print_mps_pipe, NULL},
    {"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", print_mps_percentage, NULL},
    {"CUDA_MPS_PINNED_DEVICE_MEM_LIMIT", print_mps_memory, NULL},
    {"ROCR_VISIBLE_DEVICES", print_rocm, NULL},
    {"XLA_PYTHON_CLIENT_MEM_FRACTION", print_share, NULL},
    {"TF_FORCE_GPU_ALLOW_GROWTH", print_growth, NULL},
};

/* -- for a shell ------------------------------------------------------------------ */

/* Single quotes: only another single quote needs escaping inside them. */
static void print_quoted(const char *value, struct strbuf *out)
{
    strbuf_add(out, "'", 1);
    for (const char *at = value;;) {
        size_t length = strcspn(at, "'");
        strbuf_add(out, at, length);
        at += length;
        if (!*at++)
            break;
        strbuf_add(out, "'\\''", 4);
    }
    strbuf_add(out, "'", 1);
}

/* Put the value first, once: the layers behind ours see only what it lets through. */
static void print_listed(const char *name, const char *separators, const char *value,
                         struct strbuf *out)
{
    strbuf_print(out, "case \":${%s-}:\" in *['%s']", name, separators);
    print_quoted(value, out);
    strbuf_print(out, "['%s']*) ;; *) %s=", separators, name);
    print_quoted(value, out);
    strbuf_print(out, "${%s:+:$%s} ;; esac\nexport %s\n", name, name, name);
}

void env_print(struct tree *tree, const struct partition *partition, struct strbuf *out)
{
    char text[ENV_VALUE_MAX];
    struct refusal why;
    if (waits_check(tree, partition, &why)) { /* sourcing it fails, so nothing runs after && */
        strbuf_print(out, "printf '%%s\\n' '%s' >&2; false\n", why.message);
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(variables); i++) {
        if (!variables[i].print(tree, partition, text))
            continue;
        if (variables[i].separators) {
            print_listed(variables[i].name, variables[i].separators, text, out);
            continue;
        }
        strbuf_print(out, "export %s=", variables[i].name);
        print_quoted(text, out);
        strbuf_print(out, "\n");
    }
    /* Last, so that sourcing returns its exit status. >> works in every shell, also under set -C.
     */
    print_place(tree, partition, 0, text, sizeof(text) - sizeof("/procs"));
    strcat(text, "/procs");
    strbuf_print(out, "echo 0 >> ");
    print_quoted(text, out);
    strbuf_print(out, "\n");
}

/* -- for other programs ----------------------------------------------------------- */

void env_each(struct tree *tree, const struct partition *partition, env_variable_fn *take,
              void *context)
{
    char text[ENV_VALUE_MAX];
    for (size_t i = 0; i < ARRAY_COUNT(variables); i++)
        if (variables[i].print(tree, partition, text))
            take(context, variables[i].name, text);
}

/* The format has no way to write a value of two lines. */
static void print_plain(void *out, const char *name, const char *value)
{
    if (!strchr(value, '\n'))
        strbuf_print(out, "%s=%s\n", name, value);
}

void env_print_plain(struct tree *tree, const struct partition *partition, struct strbuf *out)
{
    env_each(tree, partition, print_plain, out);
}
