/* SPDX-License-Identifier: Apache-2.0 */
/* Print the environment of programs inside a partition; see env.h. */
#include "env.h"

#include "core/base/array.h"
#include "core/gpu/gpu.h"
#include "files.h"
#include "waits.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A path in the tree, or a list of libraries. */
#define VALUE_MAX (PATH_MAX + 64)

/* -- values ----------------------------------------------------------------------- */

/* Print the value of a variable. False: it is not set in this partition. */
typedef bool value_fn(struct tree *tree, const struct partition *partition, char *text);

static const struct gpu_device *device_of(const struct tree *tree,
                                          const struct partition *partition)
{
    return &tree->devices[partition->shares[0].device];
}

static bool is_by(const struct gpu_device *device, const char *vendor)
{
    return !strncasecmp(device->vendor, vendor, strlen(vendor));
}

static bool print_directory(struct tree *tree, const struct partition *partition, char *text)
{
    snprintf(text, VALUE_MAX, "%s/gpu%u/p%llu", tree->shared->mount_point,
             (unsigned)partition->shares[0].device, (unsigned long long)partition->id);
    return true;
}

static bool print_unreachable(struct tree *tree, const struct partition *partition, char *text)
{
    (void)partition;
    bool allow = engine_policy(tree->engine)->unreachable == POLICY_UNREACHABLE_ALLOW;
    snprintf(text, VALUE_MAX, "%s", allow ? "allow" : "refuse");
    return true;
}

static bool print_opencl_layer(struct tree *tree, const struct partition *partition, char *text)
{
    (void)partition;
    snprintf(text, VALUE_MAX, "%s", tree->shared->opencl_layer);
    return *text;
}

/* Never a number: CUDA and its management library do not order devices alike. */
static bool print_cuda(struct tree *tree, const struct partition *partition, char *text)
{
    const struct gpu_device *device = device_of(tree, partition);
    snprintf(text, VALUE_MAX, "%s", device->uuid);
    return gpu_is_cuda(device);
}

/* Only where CUDA sees the device: it is loaded into every program. */
static bool print_cuda_shim(struct tree *tree, const struct partition *partition, char *text)
{
    if (!print_cuda(tree, partition, text))
        return false;
    snprintf(text, VALUE_MAX, "%s", tree->shared->cuda_shim);
    return *text;
}

/* ROCm knows its devices by GPU- and the 16 digits of the card's unique id. */
static bool print_rocm(struct tree *tree, const struct partition *partition, char *text)
{
    const struct gpu_device *device = device_of(tree, partition);
    snprintf(text, VALUE_MAX, "%s", device->uuid);
    return (is_by(device, "AMD") || is_by(device, "Advanced Micro Devices")) &&
           !strncmp(text, "GPU-", 4) && strspn(text + 4, "0123456789abcdef") == 16 && !text[20];
}

static bool has_frameworks(struct tree *tree, const struct partition *partition, char *text)
{
    return print_cuda(tree, partition, text) || print_rocm(tree, partition, text);
}

/* The share in millionths, rounded down. Where the shim has the framework see the partition as a
 * whole device, it would be a share of a share. */
static bool print_share(struct tree *tree, const struct partition *partition, char *text)
{
    if (print_cuda_shim(tree, partition, text))
        return false;
    const uint64_t million = 1000000;
    uint64_t bytes = partition->shares[0].memory_bytes,
             total = device_of(tree, partition)->memory_bytes;
    if (!has_frameworks(tree, partition, text) || !total)
        return false;
    uint64_t ppm =
        total > UINT64_MAX / million ? bytes / (total / million + 1) : bytes * million / total;
    snprintf(text, VALUE_MAX, ppm < million ? "0.%06u" : "1", (unsigned)ppm);
    return ppm > 0;
}

static bool print_growth(struct tree *tree, const struct partition *partition, char *text)
{
    bool set = has_frameworks(tree, partition, text);
    snprintf(text, VALUE_MAX, "true");
    return set;
}

/* The variables. What frameworks read only asks them: no limit depends on it. */
static const struct {
    const char *name;
    value_fn *print;
    const char *separators; /* of a list: others' entries stay, behind this one; NULL: no list */
} variables[] = {
    {"CHRONOS_PARTITION", print_directory, NULL},
    {"CHRONOS_UNREACHABLE", print_unreachable, NULL},
    {"OPENCL_LAYERS", print_opencl_layer, ":"},
    {"LD_PRELOAD", print_cuda_shim, ": "},
    {"CUDA_VISIBLE_DEVICES", print_cuda, NULL},
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
    char text[VALUE_MAX];
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
    print_directory(tree, partition, text);
    strncat(text, "/procs", sizeof(text) - strlen(text) - 1);
    strbuf_print(out, "echo 0 >> ");
    print_quoted(text, out);
    strbuf_print(out, "\n");
}

/* -- for other programs ----------------------------------------------------------- */

void env_print_plain(struct tree *tree, const struct partition *partition, struct strbuf *out)
{
    char text[VALUE_MAX];
    for (size_t i = 0; i < ARRAY_COUNT(variables); i++)
        /* The format has no way to write a value of two lines. */
        if (variables[i].print(tree, partition, text) && !strchr(text, '\n'))
            strbuf_print(out, "%s=%s\n", variables[i].name, text);
}
