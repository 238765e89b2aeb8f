# als_shared with its default priors, mortality shared and linked to each patient's own rate. Rscript shared_stan.R
source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))), "common.R"))

d <- by_subject(table_of("shared"))
one <- d$table[d$first, ]
died <- as.integer(!is.na(one$event))
data <- list(n = d$n, n_rows = d$rows, subject = d$subject, month = d$table$time, score = d$table$alsfrsr,
             treated = as.numeric(d$arm == "treated"), time = ifelse(died == 1, one$event_time, one$end_of_follow_up), died = died)
common <- c("mean_level", "sd_level", "mean_rate", "sd_rate", "rate_ratio", "sd_residual", "hazard")
found <- sampled("shared", list(shared_stan = c(data, linked = 0), shared_linked = c(data, linked = 1)), c(common, "hazard_by_rate"), adapt_delta = 0.95)
found$shared_stan$hazard_by_rate <- NULL
for (name in names(found)) write_reference(name, "same priors", by_stan(), found[[name]], c("rstan", "posterior"))
