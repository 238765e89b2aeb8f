# als_shared's mortality with a ratio of its own: exponential times to death. Rscript deaths_survreg.R
# With flat priors of log hazards the posterior mean of the control hazard is the maximum likelihood estimate of survreg,
# and log hazards are logs of Gamma(deaths, months): means digamma, variances trigamma.
source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))), "common.R"))
suppressPackageStartupMessages(library(survival))

table <- table_of("shared")
one <- table[!duplicated(table$subject), ]
died <- !is.na(one$event)
time <- ifelse(died, one$event_time, one$end_of_follow_up)
treated <- one$arm == "treated"
fit <- survreg(Surv(time, died) ~ treated, dist = "exponential")
d <- c(sum(died[!treated]), sum(died[treated])); months <- c(sum(time[!treated]), sum(time[treated]))
stopifnot(abs(exp(-coef(fit)[[1]]) - d[1] / months[1]) < 1e-6, abs(exp(-coef(fit)[[2]]) - d[2] / months[2] / (d[1] / months[1])) < 1e-6)
exact <- function(mean, sd) list(mean = mean, mean_error = 0, sd = sd, sd_error = 0)
write_reference("deaths_survreg", "same priors", paste("survival", packageVersion("survival"), "survreg, exponential; digamma of R"), list(
  hazard = exact(exp(-coef(fit)[[1]]), exp(-coef(fit)[[1]]) / sqrt(d[1])),
  log_hazard = exact(digamma(d[1]) - log(months[1]), sqrt(trigamma(d[1]))),
  log_hazard_ratio = exact(digamma(d[2]) - digamma(d[1]) - log(months[2] / months[1]), sqrt(sum(trigamma(d))))), "survival")
