/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of the made-up driver, and its settings; see fake.h. */
#include "fake.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct device fake_devices[DEVICES];
int fake_device_count = -1;
struct fake_settings fake_settings;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct told *told; /* what NVML and other processes can read */
static pid_t owner;       /* the process that called cuInit */

void fake_lock(void)
{
    pthread_mutex_lock(&lock);
    while (told && owner == getpid() && told->state != TOLD_RUNNING)
        usleep(1000);
}

void fake_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

/* -- settings ----------------------------------------------------------------------- */

uint64_t fake_cuda_taken(int device)
{
    return fake_devices[device].taken;
}

uint64_t fake_cuda_high(int device)
{
    return fake_devices[device].high;
}

void fake_cuda_set(const char *name, uint64_t value)
{
    if (!strcmp(name, "fragment"))
        fake_settings.fragment = value;
    else if (!strcmp(name, "renumber"))
        fake_settings.renumber = value;
    else if (!strcmp(name, "delay"))
        fake_settings.delay = value;
    else if (!strcmp(name, "pitch"))
        fake_settings.pitch = value;
    else
        abort();
}

/* -- devices ------------------------------------------------------------------------ */

static void read_uuid(const char *text, unsigned char *uuid)
{
    unsigned value, count = 0;
    for (text += strncmp(text, "GPU-", 4) ? 0 : 4; *text && count < 16; text++) {
        if (*text == '-' || sscanf(text, "%2x", &value) != 1)
            continue;
        uuid[count++] = (unsigned char)value;
        text++;
    }
}

static void read_devices(void)
{
    const char *list = getenv("CHRONOS_FAKE_CUDA");
    char copy[1024];
    fake_device_count = 0;
    snprintf(copy, sizeof(copy), "%s", list ? list : "");
    for (char *word = strtok(copy, " "); word && fake_device_count < DEVICES;
         word = strtok(NULL, " ")) {
        struct device *device = &fake_devices[fake_device_count];
        char *is = strchr(word, '=');
        if (!is)
            continue;
        *is = '\0';
        read_uuid(word, device->uuid);
        device->bytes = strtoull(is + 1, NULL, 10);
        device->pool = device->current = fake_pool_new(fake_device_count, false);
        fake_device_count++;
    }
}

/* The file that tests/fake_nvml reads: a number for each device. */
static void open_state(void)
{
    const char *directory = getenv("CHRONOS_FAKE_CUDA_STATE");
    char path[4096];
    if (!directory)
        return;
    snprintf(path, sizeof(path), "%s/%d", directory, (int)getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd >= 0 && ftruncate(fd, sizeof(*told)) == 0) {
        void *at = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        told = at == MAP_FAILED ? NULL : at;
    }
    if (fd >= 0)
        close(fd);
}

/* Wait for the server of MPS, as the driver does if it finds one. */
static void meet_server(void)
{
    const char *directory = getenv("CUDA_MPS_PIPE_DIRECTORY");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char answer[8];
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/control",
             directory ? directory : "/tmp/nvidia-mps");
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        while (read(fd, answer, sizeof(answer)) > 0)
            ;
    close(fd);
}

CUresult cuInit(unsigned flags)
{
    meet_server();
    fake_lock();
    if (fake_device_count < 0) {
        owner = getpid();
        read_devices();
        open_state();
    }
    fake_unlock();
    if (owner != getpid())
        return CUDA_ERROR_NOT_INITIALIZED;
    return flags ? CUDA_ERROR_INVALID_VALUE : fake_device_count ? CUDA_SUCCESS : 100;
}

CUresult cuDriverGetVersion(int *version)
{
    *version = 13000;
    return CUDA_SUCCESS;
}

bool fake_usable(void)
{
    return fake_device_count >= 0 && owner == getpid();
}

CUresult fake_check(CUdevice device)
{
    if (!fake_usable())
        return CUDA_ERROR_NOT_INITIALIZED;
    return device < 0 || device >= fake_device_count ? INVALID_DEVICE : CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count)
{
    if (!fake_usable())
        return CUDA_ERROR_NOT_INITIALIZED;
    *count = fake_device_count;
    return CUDA_SUCCESS;
}

API CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device)
{
    CUresult r = fake_check(device);
    if (r == CUDA_SUCCESS)
        memcpy(uuid->bytes, fake_devices[device].uuid, 16);
    return r;
}

API CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device)
{
    return cuDeviceGetUuid_v2(uuid, device);
}

API CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device)
{
    *value = attribute == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT ? FAKE_PROCESSORS
             : attribute == CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR
                 ? FAKE_THREADS / FAKE_PROCESSORS
                 : 0;
    return fake_check(device);
}

API CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
    CUresult r = fake_check(device);
    if (r == CUDA_SUCCESS)
        *bytes = fake_devices[device].bytes;
    return r;
}

API CUresult cuDeviceTotalMem(unsigned *bytes, CUdevice device)
{
    size_t wide;
    CUresult r = cuDeviceTotalMem_v2(&wide, device);
    if (r == CUDA_SUCCESS)
        *bytes = wide > UINT32_MAX ? UINT32_MAX : (unsigned)wide;
    return r;
}

bool fake_take(int device, uint64_t bytes)
{
    struct device *at = &fake_devices[device];
    if (fake_settings.delay)
        usleep((useconds_t)fake_settings.delay);
    if (bytes > at->bytes - at->taken)
        return false;
    at->taken += bytes;
    at->high = at->taken > at->high ? at->taken : at->high;
    if (told)
        told->bytes[device] = at->taken;
    return true;
}

void fake_give(int device, uint64_t bytes)
{
    struct device *at = &fake_devices[device];
    if (bytes > at->taken)
        abort();
    at->taken -= bytes;
    if (told)
        told->bytes[device] = at->taken;
}
