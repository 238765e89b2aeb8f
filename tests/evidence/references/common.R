# What every script here needs: the table, a JSON file of numbers with versions, and Stan run to the end.
suppressPackageStartupMessages(library(jsonlite))

here <- function() {
  file <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
  dirname(normalizePath(file))
}

table_of <- function(name) {
  read.csv(file.path(here(), paste0("SIMULATED_", name, ".csv")), na.strings = c("", "NA"), stringsAsFactors = FALSE)
}

# quantities: a named list of named lists (estimate, se), (mean, mean_error, sd, sd_error), or (value).
write_reference <- function(name, kind, by, quantities, packages, notes = "") {
  versions <- setNames(lapply(packages, function(p) as.character(packageVersion(p))), packages)
  versions$R <- paste(R.version$major, R.version$minor, sep = ".")
  out <- list(reference = name, kind = kind, by = by, made = format(as.POSIXlt(Sys.time(), "UTC"), "%Y-%m-%d"),
              versions = versions, notes = notes, quantities = quantities)
  to <- Sys.getenv("REFERENCES_OUT", here())
  writeLines(toJSON(out, auto_unbox = TRUE, digits = 8, pretty = TRUE), file.path(to, paste0(name, ".json")))
}

summary_of <- function(draws) {  # draws x chains
  m <- mean(draws); s <- sd(draws); square <- (draws - m)^2
  list(mean = m, mean_error = s / sqrt(posterior::ess_mean(draws)), sd = s,
       sd_error = sd(square) / sqrt(posterior::ess_mean(square)) / (2 * s))
}

# Mean and SD of each wanted parameter with their Monte Carlo errors; stops where the chains do not agree.
sampled <- function(program, data, wanted, iter = 1000, warmup = 700, adapt_delta = 0.9, seed = 1) {
  suppressPackageStartupMessages(library(rstan))
  # Debian keeps Boost among the system's headers.
  compiled <- stan_model(file.path(here(), paste0(program, ".stan")), boost_lib = "/usr/include")
  lapply(data, function(one) {
    fit <- sampling(compiled, data = one, iter = warmup + iter, warmup = warmup, chains = 4, cores = as.integer(Sys.getenv("CORES", "1")),
                    seed = seed, refresh = 0, control = list(adapt_delta = adapt_delta), pars = wanted)
    draws <- as.array(fit)
    names <- setdiff(dimnames(draws)$parameters, "lp__")
    worst <- max(sapply(names, function(p) posterior::rhat(draws[, , p])))
    least <- min(sapply(names, function(p) posterior::ess_bulk(draws[, , p])))
    divergent <- get_num_divergent(fit)
    message(sprintf("%s: R-hat %.4f, least bulk ESS %.0f, divergences %d", program, worst, least, divergent))
    stopifnot(worst < 1.01, least > 400, divergent == 0)
    sapply(names, function(p) summary_of(draws[, , p]), simplify = FALSE)
  })
}

by_stan <- function() paste("Stan", rstan::stan_version(), "by rstan, 4 chains")

# Rows of each patient, together and in order.
by_subject <- function(table) {
  table$subject <- factor(table$subject, levels = unique(table$subject))
  table <- table[order(table$subject, table$time), ]
  i <- as.integer(table$subject)
  list(table = table, subject = i, n = max(i), rows = nrow(table), first = match(seq_len(max(i)), i),
       last = nrow(table) + 1L - match(seq_len(max(i)), rev(i)),
       arm = table$arm[match(seq_len(max(i)), i)], later = match(table$time, sort(unique(table$time))) - 1L)
}
