/* A libnvidia-ml.so.1 with two cards that answer fixed figures.

   NVML_STUB_CARDS    number of cards, 0 to 2; 2 where it is not set
   NVML_STUB_REASONS  mask of the clocks-event reasons; 0 where it is not set
   NVML_STUB_ERRORS   "function=code,function=code": those functions return those codes

   -DWITHOUT_EVENT_REASONS leaves out the name that drivers before 535 lack, -DWITHOUT_REASONS the older name too,
   -DWITHOUT_ENERGY the energy counter. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_FOUND = 6 };
enum { CLOCK_SM = 1, CLOCK_MEMORY = 2 };
enum { THRESHOLD_SLOWDOWN = 1 };

typedef struct {
    const char *name, *address;
    unsigned sm_mhz, sm_max_mhz, sm_default_mhz, memory_mhz, memory_max_mhz, power_mw, limit_mw, celsius, slowdown_celsius;
    unsigned long long energy_mj, memory_total, memory_used;
} Card;

typedef struct {
    unsigned long long total, free, used;
} Memory;

static Card cards[] = {
    {"NVIDIA Stub 100", "00000000:3B:00.0", 1410, 1980, 1755, 1593, 2619, 201500, 700000, 47, 90, 123456789ULL,
     150000000000ULL, 1073741824ULL},
    {"NVIDIA Stub 200", "00000001:AF:00.0", 345, 2100, 1830, 405, 3201, 88250, 600000, 86, 89, 5000000000250ULL,
     80000000000ULL, 7ULL},
};

static int started = 0;

static unsigned count(void) {
    const char *text = getenv("NVML_STUB_CARDS");
    return text ? (unsigned)atoi(text) : 2;
}

/* The code that the environment sets for a function, or SUCCESS. */
static int code(const char *function) {
    const char *entry = getenv("NVML_STUB_ERRORS");
    size_t length = strlen(function);
    while (entry && *entry) {
        if (strncmp(entry, function, length) == 0 && entry[length] == '=') return atoi(entry + length + 1);
        entry = strchr(entry, ',');
        if (entry) entry++;
    }
    return started ? SUCCESS : UNINITIALIZED;
}

#define ANSWER(statement)                 \
    do {                                  \
        int failed = code(__func__);      \
        if (failed) return failed;        \
        statement;                        \
        return SUCCESS;                   \
    } while (0)

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    started++;
    int failed = code(__func__);
    if (failed) started--;
    return failed;
}

int nvmlShutdown(void) { ANSWER(started--); }

/* Not of NVML: how often it is started and not shut down. */
int stub_started(void) { return started; }

const char *nvmlErrorString(int error) {
    static char text[32];
    snprintf(text, sizeof text, "Stub error %d", error);
    return text;
}

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    ANSWER(snprintf(version, length, "570.86.15"));
}

int nvmlDeviceGetCount_v2(unsigned *value) { ANSWER(*value = count()); }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Card **card) {
    if (index >= count()) return INVALID_ARGUMENT;
    ANSWER(*card = &cards[index]);
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *address, Card **card) {
    for (unsigned index = 0; index < count(); index++)
        if (strcmp(address, cards[index].address) == 0) ANSWER(*card = &cards[index]);
    return NOT_FOUND;
}

int nvmlDeviceGetName(Card *card, char *name, unsigned length) { ANSWER(snprintf(name, length, "%s", card->name)); }

int nvmlDeviceGetClockInfo(Card *card, int type, unsigned *mhz) {
    if (type != CLOCK_SM && type != CLOCK_MEMORY) return INVALID_ARGUMENT;
    ANSWER(*mhz = type == CLOCK_SM ? card->sm_mhz : card->memory_mhz);
}

int nvmlDeviceGetMaxClockInfo(Card *card, int type, unsigned *mhz) {
    if (type != CLOCK_SM && type != CLOCK_MEMORY) return INVALID_ARGUMENT;
    ANSWER(*mhz = type == CLOCK_SM ? card->sm_max_mhz : card->memory_max_mhz);
}

int nvmlDeviceGetDefaultApplicationsClock(Card *card, int type, unsigned *mhz) {
    if (type != CLOCK_SM) return INVALID_ARGUMENT;
    ANSWER(*mhz = card->sm_default_mhz);
}

int nvmlDeviceGetPowerUsage(Card *card, unsigned *mw) { ANSWER(*mw = card->power_mw); }

int nvmlDeviceGetEnforcedPowerLimit(Card *card, unsigned *mw) { ANSWER(*mw = card->limit_mw); }

int nvmlDeviceGetTemperature(Card *card, int sensor, unsigned *celsius) {
    if (sensor != 0) return INVALID_ARGUMENT;
    ANSWER(*celsius = card->celsius);
}

int nvmlDeviceGetTemperatureThreshold(Card *card, int threshold, unsigned *celsius) {
    if (threshold != THRESHOLD_SLOWDOWN) return INVALID_ARGUMENT;
    ANSWER(*celsius = card->slowdown_celsius);
}

int nvmlDeviceGetMemoryInfo(Card *card, Memory *memory) {
    Memory value = {card->memory_total, card->memory_total - card->memory_used, card->memory_used};
    ANSWER(*memory = value);
}

#ifndef WITHOUT_ENERGY
int nvmlDeviceGetTotalEnergyConsumption(Card *card, unsigned long long *mj) { ANSWER(*mj = card->energy_mj); }
#endif

#ifndef WITHOUT_REASONS
static unsigned long long reasons(void) {
    const char *text = getenv("NVML_STUB_REASONS");
    return text ? strtoull(text, NULL, 0) : 0;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(Card *card, unsigned long long *mask) {
    (void)card;
    ANSWER(*mask = reasons());
}

#ifndef WITHOUT_EVENT_REASONS
int nvmlDeviceGetCurrentClocksEventReasons(Card *card, unsigned long long *mask) {
    (void)card;
    ANSWER(*mask = reasons());
}
#endif
#endif
