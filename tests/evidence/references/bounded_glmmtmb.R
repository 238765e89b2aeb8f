# als_bounded's likelihood: beta-binomial scores of 48 about a logit line of each patient. Rscript bounded_glmmtmb.R
source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))), "common.R"))
suppressPackageStartupMessages(library(glmmTMB))

table <- table_of("bounded")
table$treated <- as.numeric(table$arm == "treated")
fit <- glmmTMB(cbind(alsfrsr, 48 - alsfrsr) ~ time + time:treated + (time | subject), table, family = betabinomial())
fixed <- summary(fit)$coefficients$cond
one <- function(row) list(estimate = fixed[row, "Estimate"], se = fixed[row, "Std. Error"])
spread <- attr(VarCorr(fit)$cond$subject, "stddev")
# The share is Beta with variance p (1 - p) rho, rho = 1 / (phi + 1): its SD goes with sqrt(rho).
quantities <- list(mean_level = one("(Intercept)"), mean_slope = one("time"), slope_effect = one("time:treated"),
                   sd_level = list(estimate = spread[[1]]), sd_slope = list(estimate = spread[[2]]),
                   sd_share = list(estimate = 1 / sqrt(sigma(fit) + 1)))
write_reference("bounded_glmmtmb", "likelihood", paste("glmmTMB", packageVersion("glmmTMB"), "maximum likelihood, Laplace"), quantities, c("glmmTMB", "TMB"))
